#include "admin-gui/tail_filter.h"

#include <algorithm>

namespace everstate::console {
namespace {

std::string_view Stripped(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t") - begin + 1);
}

}  // namespace

TextFilter::TextFilter(std::string_view expression) {
  while (true) {
    const size_t comma = expression.find(',');
    std::string_view term = Stripped(expression.substr(0, comma));
    const bool unwanted = !term.empty() && term.front() == '-';
    if (unwanted) term = Stripped(term.substr(1));
    if (!term.empty()) (unwanted ? unwanted_ : wanted_).emplace_back(term);
    if (comma == std::string_view::npos) return;
    expression.remove_prefix(comma + 1);
  }
}

bool TextFilter::Matches(std::string_view text) const {
  const auto contained = [&](const std::string& term) { return text.find(term) != std::string_view::npos; };
  if (std::any_of(unwanted_.begin(), unwanted_.end(), contained)) return false;
  return wanted_.empty() || std::any_of(wanted_.begin(), wanted_.end(), contained);
}

bool TailFilter::Matches(const admin::v1::TailFrame& frame) const {
  if (!view.empty() && frame.view() != view) return false;
  if (!key.empty() && frame.key() != key) return false;
  if (!ops.empty() && std::find(ops.begin(), ops.end(), frame.op()) == ops.end()) return false;
  return text.Matches(frame.json());
}

admin::v1::TailRequest TailFilter::Request(uint32_t max_frames_per_second, bool paused) const {
  admin::v1::TailRequest request;
  if (!view.empty()) request.add_views(view);
  request.set_key(key);
  for (const std::string& op : ops) request.add_ops(op);
  request.set_text(text.server_text());
  request.set_max_frames_per_second(max_frames_per_second);
  request.set_paused(paused);
  return request;
}

}  // namespace everstate::console
