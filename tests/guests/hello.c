// Prints its arguments to stdout, the variable GREETING, and a line to stderr.
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char** argv) {
  for (int i = 0; i < argc; ++i) printf("argument %d: %s\n", i, argv[i]);
  const char* greeting = getenv("GREETING");
  printf("greeting: %s\n", greeting != NULL ? greeting : "none");
  fprintf(stderr, "a line on stderr\n");
  return 0;
}
