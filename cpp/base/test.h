// The C++ test harness: cases register themselves, main runs them all, a failed expectation prints where and
// what.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

namespace emu::test {

struct Case {
  const char* name;
  void (*run)();
};

inline std::vector<Case>& Cases() {
  static std::vector<Case> cases;
  return cases;
}

inline int& Failures() {
  static int failures = 0;
  return failures;
}

struct Registration {
  Registration(const char* name, void (*run)()) { Cases().push_back({name, run}); }
};

inline void Expect(bool holds, const char* file, int line, const std::string& what) {
  if (holds) return;
  ++Failures();
  std::printf("%s:%d: %s\n", file, line, what.c_str());
}

// Repeatable numbers in -1..1, the same on every machine (xorshift64*).
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed * 0x9e3779b97f4a7c15ull + 1) {}
  uint64_t Next() {
    state_ ^= state_ >> 12;
    state_ ^= state_ << 25;
    state_ ^= state_ >> 27;
    return state_ * 0x2545f4914f6cdd1dull;
  }
  float Uniform() { return static_cast<float>(Next() >> 40) / 8388608.0f - 1.0f; }
  std::vector<float> Floats(int64_t count) {
    std::vector<float> out(static_cast<size_t>(count));
    for (float& value : out) value = Uniform();
    return out;
  }

 private:
  uint64_t state_;
};

// Largest |a-b| over the largest |b|.
inline double RelativeError(const std::vector<float>& a, const std::vector<float>& b) {
  double worst = 0, largest = 1e-30;
  for (size_t i = 0; i < b.size(); ++i) {
    const double difference = std::abs(static_cast<double>(a[i]) - b[i]);
    if (!(difference <= worst)) worst = difference;  // keeps NaN
    largest = std::fmax(largest, std::abs(static_cast<double>(b[i])));
  }
  return worst / largest;
}

}  // namespace emu::test

#define EMU_TEST(name)                                                     \
  static void name();                                                      \
  static const ::emu::test::Registration name##_registration(#name, name); \
  static void name()

#define EXPECT_TRUE(condition) ::emu::test::Expect((condition), __FILE__, __LINE__, #condition)
#define EXPECT_EQ(a, b) ::emu::test::Expect((a) == (b), __FILE__, __LINE__, #a " == " #b)
#define EXPECT_LE(a, b)                               \
  ::emu::test::Expect((a) <= (b), __FILE__, __LINE__, \
                      std::string(#a " <= " #b ": ") + std::to_string(a) + " vs " + std::to_string(b))

#define EMU_TEST_MAIN()                                                                            \
  int main() {                                                                                     \
    for (const ::emu::test::Case& test_case : ::emu::test::Cases()) {                              \
      const int before = ::emu::test::Failures();                                                  \
      test_case.run();                                                                             \
      std::printf("%s %s\n", ::emu::test::Failures() == before ? "pass" : "FAIL", test_case.name); \
    }                                                                                              \
    return ::emu::test::Failures() == 0 ? 0 : 1;                                                   \
  }
