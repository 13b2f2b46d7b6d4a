#include "server/admin/tail_filter.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "server/admin/text.h"

namespace everstate {
namespace {

constexpr size_t kViewsMax = 1024;
constexpr size_t kTextBytesMax = 16u << 10;  // of `key` and of `text`
constexpr uint32_t kFramesPerSecondMax = 1000000;
constexpr std::array<std::string_view, 3> kOps = {"patch", "upsert", "delete"};  // FrameOpName's: all that is sent

std::string Quoted(std::string_view text) { return absl::StrCat("\"", ProtoText(text, 100), "\""); }

absl::Status CheckView(const std::string& id, const std::vector<ViewDef>& views) {
  const auto it = std::find_if(views.begin(), views.end(), [&](const ViewDef& view) { return view.id == id; });
  if (it == views.end()) return absl::InvalidArgumentError(absl::StrCat("views: the stack has no view ", Quoted(id)));
  if (!it->unsupported.empty())
    return absl::InvalidArgumentError(absl::StrCat("views: ", Quoted(id), " is not served: ", it->unsupported));
  return absl::OkStatus();
}

absl::Status CheckSizes(const admin::v1::TailRequest& request) {
  const auto too_long = [](const char* field, size_t is, size_t max, const char* unit) {
    return absl::InvalidArgumentError(absl::StrCat(field, ": ", is, " ", unit, " are more than ", max));
  };
  if (static_cast<size_t>(request.views_size()) > kViewsMax)
    return too_long("views", request.views_size(), kViewsMax, "views");
  if (static_cast<size_t>(request.ops_size()) > kOps.size())
    return too_long("ops", request.ops_size(), kOps.size(), "ops");
  if (request.key().size() > kTextBytesMax) return too_long("key", request.key().size(), kTextBytesMax, "bytes");
  if (request.text().size() > kTextBytesMax) return too_long("text", request.text().size(), kTextBytesMax, "bytes");
  if (request.max_frames_per_second() > kFramesPerSecondMax) {
    return too_long("max_frames_per_second", request.max_frames_per_second(), kFramesPerSecondMax, "frames per second");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<TailFilter> TailFilter::Parse(const admin::v1::TailRequest& request, const std::vector<ViewDef>& views) {
  if (absl::Status status = CheckSizes(request); !status.ok()) return status;
  TailFilter filter;
  for (const std::string& id : request.views()) {
    if (absl::Status status = CheckView(id, views); !status.ok()) return status;
    filter.views_.push_back(id);
  }
  std::sort(filter.views_.begin(), filter.views_.end());
  filter.views_.erase(std::unique(filter.views_.begin(), filter.views_.end()), filter.views_.end());
  for (const std::string& op : request.ops()) {
    if (std::find(kOps.begin(), kOps.end(), op) == kOps.end()) {
      return absl::InvalidArgumentError(
          absl::StrCat("ops: ", Quoted(op), " is not one of patch, upsert, delete, which are all that is sent"));
    }
    filter.ops_.push_back(op);
  }
  filter.key_ = request.key();
  filter.text_ = request.text();
  filter.frames_per_second_max_ = request.max_frames_per_second();
  filter.paused_ = request.paused();
  return filter;
}

bool TailFilter::Matches(const TappedFrame& frame) const {
  if (!key_.empty() && frame.key != key_) return false;
  if (!ops_.empty() && std::find(ops_.begin(), ops_.end(), frame.op) == ops_.end()) return false;
  return text_.empty() || frame.json.find(text_) != std::string_view::npos;
}

bool Sampler::Take(std::chrono::steady_clock::time_point now) {
  if (per_second_max_ == 0) return true;
  constexpr double kSavedUpSeconds = 0.1;
  const double rate = per_second_max_;
  if (last_ != std::chrono::steady_clock::time_point{})
    allowance_ += rate * std::chrono::duration<double>(now - last_).count();
  allowance_ = std::min(allowance_, std::max(1.0, rate * kSavedUpSeconds));
  last_ = now;
  if (allowance_ < 1) return false;
  allowance_ -= 1;
  return true;
}

}  // namespace everstate
