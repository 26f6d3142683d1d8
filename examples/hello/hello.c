// A command: it has a main function, reads its arguments and environment, and prints through WASI.
//
//   clang --target=wasm32-wasi -O2 -o hello.wasm hello.c
//   propctl run hello.wasm -- world

#include <stdio.h>
#include <stdlib.h>

int main(int count, char** arguments) {
  const char* greeting = getenv("GREETING");
  printf("%s, %s!\n", greeting != NULL ? greeting : "Hello", count > 1 ? arguments[1] : "whoever you are");
  return 0;
}
