// The matrix program in AssemblyScript; ../README.md says what it does.

function countInput(): i32 {
  const buffer = new ArrayBuffer(256);
  let bytes = 0;
  for (let read = process.stdin.read(buffer); read > 0; read = process.stdin.read(buffer)) bytes += read;
  return bytes;
}

function line(text: string): void {
  process.stdout.write(text + "\n");
}

function main(): void {
  const what = process.argv.length > 1 ? process.argv[1] : "";
  if (what == "args") {
    for (let i = 2; i < process.argv.length; ++i) line(process.argv[i]);
    return;
  }
  if (what == "env") {
    const name = process.argv[2];
    line(process.env.has(name) ? process.env.get(name) : "(unset)");
    return;
  }
  if (what == "stdin") {
    line(countInput().toString());
    return;
  }
  line("out");
  process.stderr.write("err\n");
  if (what == "exit") process.exit(i32(parseInt(process.argv[2])));
  if (what == "die") throw new Error("boom");
}

main();
