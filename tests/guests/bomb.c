// Allocates without end and gives up with exit code 1 when there is no more; "abort" makes it trap instead.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char** argv) {
  while (1) {
    char* volatile block = malloc(1 << 20);  // volatile: or the compiler sees that nobody needs it
    if (block == NULL) break;
    memset(block, 1, 1 << 20);
  }
  if (argc > 1 && strcmp(argv[1], "abort") == 0) abort();
  fprintf(stderr, "out of memory\n");
  return 1;
}
