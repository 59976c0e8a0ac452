// Runs every test of the core, or those whose name holds the argument.
#include <cstring>
#include <exception>

#include "check.hpp"

int main(int count, char** arguments) {
  using namespace smartx_tests;
  int ran = 0;
  for (const Test& test : tests()) {
    if (count > 1 && std::strstr(test.name, arguments[1]) == nullptr) continue;
    ++ran;
    const int before = failures();
    try {
      test.body();
    } catch (const std::exception& problem) {
      ++failures();
      std::fprintf(stderr, "%s threw: %s\n", test.name, problem.what());
    }
    if (failures() > before) std::fprintf(stderr, "FAILED %s\n", test.name);
  }
  std::printf("%d tests, %d failed checks\n", ran, failures());
  return failures() == 0 && ran > 0 ? 0 : 1;
}
