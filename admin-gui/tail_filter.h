// Which frames of the bus are shown. Pure.
//
// The text filter reads as Tracy's: `mint, burn, -dust` shows frames that contain "mint" or "burn", but none that
// contains "dust"; upper and lower case differ, as in the JSON. View, key and ops, and a text of one wanted term, are
// judged at the server, which then sends less; several wanted terms and unwanted ones are judged here, because the
// server knows only one wanted text. Rows that came before the filter changed are judged here too, so the list never
// mixes two filters.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "proto/admin.pb.h"

namespace everstate::console {

class TextFilter {
 public:
  TextFilter() = default;
  explicit TextFilter(std::string_view expression);

  bool Matches(std::string_view text) const;
  // What the server may judge: the wanted term when there is exactly one, else "".
  std::string server_text() const { return wanted_.size() == 1 ? wanted_.front() : std::string(); }
  const std::vector<std::string>& wanted() const { return wanted_; }
  const std::vector<std::string>& unwanted() const { return unwanted_; }

 private:
  std::vector<std::string> wanted_, unwanted_;
};

struct TailFilter {
  std::string view;              // an id; empty: all
  std::string key;               // exact; empty: any
  std::vector<std::string> ops;  // empty: any
  TextFilter text;

  bool Matches(const admin::v1::TailFrame& frame) const;
  admin::v1::TailRequest Request(uint32_t max_frames_per_second, bool paused) const;
};

}  // namespace everstate::console
