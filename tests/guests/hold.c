// Holds as many MiB as its argument says, all of them touched, and succeeds.
#include <stdlib.h>
#include <string.h>

int main(int argc, char** argv) {
  const size_t bytes = (size_t)atoi(argv[1]) << 20;
  char* volatile block = malloc(bytes);
  if (block == NULL) return 1;
  memset(block, 1, bytes);
  return 0;
}
