// A test frame in one page: TEST(name) { CHECK(...); }. A test that fails says where and with what.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

namespace smartx_tests {

struct Test {
  const char* name;
  void (*body)();
};

inline std::vector<Test>& tests() {
  static std::vector<Test> all;
  return all;
}

inline int& failures() {
  static int count = 0;
  return count;
}

struct Register {
  Register(const char* name, void (*body)()) { tests().push_back({name, body}); }
};

inline void check(bool held, const char* file, int line, const char* claim) {
  if (held) return;
  ++failures();
  std::fprintf(stderr, "%s:%d: not so: %s\n", file, line, claim);
}

}  // namespace smartx_tests

#define TEST(name)                                                       \
  static void name();                                                    \
  static const smartx_tests::Register name##_registered(#name, &(name)); \
  static void name()

#define CHECK(...) \
  smartx_tests::check(static_cast<bool>(__VA_ARGS__), __FILE__, __LINE__, #__VA_ARGS__)
