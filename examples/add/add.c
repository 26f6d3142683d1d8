// The smallest useful task: one exported function, no imports.
//
//   clang --target=wasm32-wasi -O2 -nostdlib -Wl,--no-entry -o add.wasm add.c
//   propctl run add.wasm --invoke add -- 2 40

__attribute__((export_name("add"))) int add(int a, int b) { return a + b; }
