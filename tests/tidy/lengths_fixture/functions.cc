// Functions in all their forms; lengths_test.py knows the length of each. Not compiled.
#include <functional>
#define BRACE {

namespace everstate {
namespace {

constexpr int kTable[] = {
    1, 1'000'000, '{', '\'',
};
const auto kMade = [] {
  return 1;
}();

struct Point {
  int x = 0;
  std::vector<int> list{1, 2};
  Point() = default;
  explicit Point(int the_x) : x{the_x}, list() {}
  bool operator==(const Point& other) const {
    return x == other.x;
  }
  int operator()(int y) const noexcept { return y; }
};

}  // namespace

Long::Long(std::vector<int> a, std::function<void(int)> b)
    : a_(std::move(a)),
      b_{std::move(b)},
      c_([this] {
        // "a brace in a comment {
        return '}';
      }) {
  Begin();
}

std::function<void(int)> Long::Made(const std::map<int, std::vector<int>>& of) const&
{
  if (of.empty()) {
    return {};
  }
  const char* text = R"(} {
    })";
  return [text](int) { Use(text); };
}

template <typename T, size_t N = (1 << 3)>
  requires std::is_integral_v<T>
auto Trailing(T value) -> std::pair<T, int> {
  return {value, 0};
}

TEST_F(SomeTest, DoesThis) {
  EXPECT_EQ(1, 1);
}

extern "C" int Entry(const uint8_t* data, size_t size) {
  return data[size];
}

void Guarded(int a) EVERSTATE_REQUIRES(kRole) {
  Use(a);
}

Long::~Long() { End(); }

}  // namespace everstate
