// Writes to both outputs and exits with the code given as its argument.
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char** argv) {
  puts("some output");
  fprintf(stderr, "reason of the exit\n");
  exit(argc > 1 ? atoi(argv[1]) : 0);
}
