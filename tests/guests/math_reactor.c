// A library: functions over numbers, and a state that only its constructor sets.
#include <stdio.h>

static int initialized;

__attribute__((constructor)) static void initialize(void) { ++initialized; }

__attribute__((export_name("initialized"))) int times_initialized(void) { return initialized; }
__attribute__((export_name("add"))) int add(int a, int b) { return a + b; }
__attribute__((export_name("fib"))) long long fib(int n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); }
__attribute__((export_name("half"))) double half(double x) { return x / 2; }
__attribute__((export_name("say"))) void say(void) {
  puts("said");
  fflush(stdout);
}
