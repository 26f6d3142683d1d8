// The matrix program in C++; ../README.md says what it does.
#include <cstdlib>
#include <iostream>
#include <string>
#include <vector>

int main(int argc, char** argv) {
  const std::vector<std::string> arguments(argv + (argc > 0), argv + argc);
  const std::string what = arguments.empty() ? "" : arguments[0];
  if (what == "args") {
    for (std::size_t i = 1; i < arguments.size(); ++i) std::cout << arguments[i] << '\n';
    return 0;
  }
  if (what == "env") {
    const char* value = std::getenv(arguments.at(1).c_str());
    std::cout << (value != nullptr ? value : "(unset)") << '\n';
    return 0;
  }
  if (what == "stdin") {
    int bytes = 0;
    while (std::cin.get() != std::istream::traits_type::eof()) ++bytes;
    std::cout << bytes << '\n';
    return 0;
  }
  std::cout << "out" << std::endl;
  std::cerr << "err" << std::endl;
  if (what == "exit") std::exit(std::stoi(arguments.at(1)));
  if (what == "die") std::terminate();
  return 0;
}
