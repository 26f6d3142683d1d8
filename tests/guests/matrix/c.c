// The matrix program in C; ../README.md says what it does.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int show_environment(const char* name) {
  const char* value = getenv(name);
  printf("%s\n", value != NULL ? value : "(unset)");
  return 0;
}

static int count_input(void) {
  int bytes = 0;
  while (getchar() != EOF) ++bytes;
  printf("%d\n", bytes);
  return 0;
}

static int show_arguments(int count, char** arguments) {
  for (int i = 0; i < count; ++i) puts(arguments[i]);
  return 0;
}

int main(int argc, char** argv) {
  const char* what = argc > 1 ? argv[1] : "";
  if (strcmp(what, "args") == 0) return show_arguments(argc - 2, argv + 2);
  if (strcmp(what, "env") == 0) return show_environment(argv[2]);
  if (strcmp(what, "stdin") == 0) return count_input();
  puts("out");
  fputs("err\n", stderr);
  if (strcmp(what, "exit") == 0) exit(atoi(argv[2]));
  if (strcmp(what, "die") == 0) abort();
  return 0;
}
