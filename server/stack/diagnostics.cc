#include "server/stack/diagnostics.h"

#include <fmt/format.h>

#include <algorithm>

#include "server/base/printable.h"

namespace everstate::stack {
namespace {

constexpr size_t kFindingsMax = 1000;  // a file of another kind is not judged word by word

bool AtOrBelow(std::string_view path, std::string_view root) {
  if (root.empty()) return true;
  return path.starts_with(root) && (path.size() == root.size() || path[root.size()] == '.' || path[root.size()] == '[');
}

}  // namespace

void Diagnostics::Add(Finding finding) {
  const bool note = finding.kind == Finding::Kind::kNote;
  std::vector<Finding>& list = note ? notes_ : findings_;
  if (Covers(finding.path) || list.size() > kFindingsMax) return;
  // The last finding covers all that would follow.
  if (list.size() == kFindingsMax)
    finding = {finding.kind, "",
               fmt::format("more than {} {}; the others are not listed", kFindingsMax, note ? "notes" : "findings")};
  list.push_back(std::move(finding));
}

bool Diagnostics::Covers(std::string_view path) const {
  return std::any_of(findings_.begin(), findings_.end(), [&](const Finding& f) { return AtOrBelow(path, f.path); });
}

bool Diagnostics::Touches(std::string_view path) const {
  return std::any_of(findings_.begin(), findings_.end(),
                     [&](const Finding& f) { return AtOrBelow(path, f.path) || AtOrBelow(f.path, path); });
}

std::string Diagnostics::Text(const Finding& finding) const {
  return Printable(fmt::format("{}: {}: {}", file_, finding.path.empty() ? "top level" : finding.path, finding.rule));
}

absl::Status Diagnostics::ToStatus() const {
  std::string text;
  bool invalid = false;
  for (const Finding& finding : findings_) {
    text += (text.empty() ? "" : "\n") + Text(finding);
    invalid |= finding.kind == Finding::Kind::kInvalid;
  }
  if (text.empty()) return absl::OkStatus();
  return invalid ? absl::InvalidArgumentError(text) : absl::UnimplementedError(text);
}

Place Place::At(std::string_view member) const {
  return Place(diagnostics_, path_.empty() ? std::string(member) : fmt::format("{}.{}", path_, member));
}

Place Place::Element(size_t index) const { return Place(diagnostics_, fmt::format("{}[{}]", path_, index)); }

absl::Status Place::Invalid(std::string_view rule) const {
  diagnostics_->Add({Finding::Kind::kInvalid, path_, std::string(rule)});
  return Reported();
}

absl::Status Place::Unsupported(std::string_view what) const {
  diagnostics_->Add({Finding::Kind::kUnsupported, path_, fmt::format("{} is not supported", what)});
  return Reported();
}

void Place::Note(std::string_view what) const { diagnostics_->Add({Finding::Kind::kNote, path_, std::string(what)}); }

}  // namespace everstate::stack
