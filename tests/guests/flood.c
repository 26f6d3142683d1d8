// Writes its argument's number of MiB of 'x' (default: without end) to stdout and stderr.
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char block[1 << 20];

int main(int argc, char** argv) {
  const long long limit = argc > 1 ? atoll(argv[1]) : -1;
  memset(block, 'x', sizeof block);
  for (long long i = 0; i != limit; ++i) {
    if (write(1, block, sizeof block) < 0 || write(2, block, sizeof block) < 0) return 1;
  }
  return 0;
}
