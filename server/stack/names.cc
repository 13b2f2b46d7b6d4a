#include "server/stack/names.h"

#include <fmt/format.h>

namespace everstate::stack {

std::string PathText(const Path& path) { return fmt::format("{}", fmt::join(path, ".")); }
bool HasEmptySegment(std::string_view path) {
  return path.empty() || path.front() == '.' || path.back() == '.' || path.find("..") != std::string_view::npos;
}
std::string_view Name(Transform t) { return TextOf<Transform>(kTransforms, t); }
std::string_view Name(Population p) { return TextOf<Population>(kPopulations, p); }
std::string_view Name(Comparison c) { return TextOf<Comparison>(kComparisons, c); }
std::string_view Name(Expr::Kind kind) { return TextOf<Expr::Kind>(kExprKinds, kind); }

}  // namespace everstate::stack
