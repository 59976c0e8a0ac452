// A test frame in one page: TEST(name) { CHECK(...); }. A test that fails says where and with what.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "smartx/context.hpp"

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

/// Nobody stops it.
inline smartx::Context plain(int threads = 1, const smartx::Level& level = smartx::level_named()) {
  static const smartx::Stop never;
  return {threads, never, level};
}

}  // namespace smartx_tests

using smartx_tests::plain;

#define TEST(name)                                                       \
  static void name();                                                    \
  static const smartx_tests::Register name##_registered(#name, &(name)); \
  static void name()

#define CHECK(...) \
  smartx_tests::check(static_cast<bool>(__VA_ARGS__), __FILE__, __LINE__, #__VA_ARGS__)
