// Writes result_texts.json: what the existing worker, whose engine reads arguments with Rust's `str::parse` and prints
// results with Rust's `Display`, makes of each argument. `null`: it refuses the argument.
use std::fmt::Display;
use std::str::FromStr;

const INTEGERS: &[&str] = &[
    "0", "-0", "+0", "1", "-1", "+7", "007", "-007", "2147483647", "-2147483648", "2147483648", "-2147483649", "4294967295",
    "9223372036854775807", "-9223372036854775808", "9223372036854775808", "99999999999999999999", "", "+", "-", "++1", "+-1",
    "--1", " 1", "1 ", "1\n", "1.0", "1e3", "0x10", "1_000", "one", "٣", "NaN",
];
const REALS: &[&str] = &[
    "0", "-0", "+0", "0.0", "1", "1.0", "-1.5", "+1.5", "1.", ".5", "-.5", "0.1", "0.2", "0.30000000000000004", "1e0", "1e21",
    "1E21", "1e+21", "1e-7", "1e-10", "123456789.125", "16777216", "16777217", "3.4028235e38", "3.4028236e38", "3.5e38", "1e39",
    "1.1754944e-38", "1e-45", "1e-46", "1.7976931348623157e308", "1.7976931348623159e308", "1e309", "2.2250738585072014e-308",
    "5e-324", "1e-324", "1e400", "-1e400", "1e-400", "9007199254740993", "123456789012345678901234567890", "00001.50", "inf", "-inf",
    "+inf", "INF", "infinity", "-Infinity", "infinit", "nan", "NaN", "-nan", "+nan", "nan(1)", "", "+", "-", ".", "e", "e5", "1e",
    "1e+", "++1", "+-1", "--1", " 1", "1 ", "1\t", "1,5", "1_000", "0x1p3", "0x10", "1f", "1.0f", "1d", "one", "1e5.5", "٣",
];

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\n', "\\n").replace('\t', "\\t"))
}

fn rows<T: FromStr + Display>(name: &str, arguments: &[&str]) -> Vec<String> {
    let row = |argument: &&str| {
        let text = argument.parse::<T>().map_or("null".into(), |value| quoted(&value.to_string()));
        format!("  {{\"type\": \"{name}\", \"argument\": {}, \"text\": {text}}}", quoted(argument))
    };
    arguments.iter().map(row).collect()
}

fn main() {
    let all = [
        rows::<i32>("i32", INTEGERS),
        rows::<i64>("i64", INTEGERS),
        rows::<f32>("f32", REALS),
        rows::<f64>("f64", REALS),
    ];
    println!("[\n{}\n]", all.concat().join(",\n"));
}
