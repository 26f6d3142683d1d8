// Holds as many MiB as its first argument says, all of them touched, for as many milliseconds as its second argument
// says: asleep, or busy if there is a third.
#define _POSIX_C_SOURCE 199309L
#include <stdlib.h>
#include <string.h>
#include <time.h>

static long long now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

int main(int argc, char** argv) {
  const size_t bytes = (size_t)atoi(argv[1]) << 20;
  const long long end = now_ms() + atoi(argv[2]);
  char* volatile block = malloc(bytes);
  if (block == NULL) return 1;
  memset(block, 1, bytes);
  while (now_ms() < end) {
    if (argc > 3) continue;
    const long long left = end - now_ms();
    const struct timespec pause = {.tv_sec = left / 1000, .tv_nsec = left % 1000 * 1000000};
    if (left > 0) nanosleep(&pause, NULL);
  }
  return 0;
}
