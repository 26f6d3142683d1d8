// The matrix program in Rust; ../README.md says what it does.
use std::io::Read;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let what = arguments.first().map_or("", |text| text.as_str());
    match what {
        "args" => return arguments[1..].iter().for_each(|argument| println!("{argument}")),
        "env" => return println!("{}", std::env::var(&arguments[1]).unwrap_or_else(|_| "(unset)".into())),
        "stdin" => return println!("{}", std::io::stdin().bytes().count()),
        _ => (),
    }
    println!("out");
    eprintln!("err");
    match what {
        "exit" => std::process::exit(arguments[1].parse().unwrap()),
        "die" => panic!("boom"),
        _ => (),
    }
}
