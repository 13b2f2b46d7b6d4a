#include "server/base/log_fold.h"

#include <algorithm>
#include <utility>

namespace everstate {
namespace {

// Of ASCII, whatever the locale says; other bytes belong to no word.
bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsWordCharacter(char c) { return IsDigit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }

std::string KeyOf(const LogRecord& record) {
  std::string key = {static_cast<char>(record.level), static_cast<char>(record.room)};
  return key += ShapeOf(record.message);
}

}  // namespace

std::string ShapeOf(std::string_view message) {
  std::string shape;
  while (!message.empty()) {
    const auto end = std::find_if_not(message.begin(), message.end(), IsWordCharacter);
    const std::string_view word(message.begin(), end);
    if (std::any_of(word.begin(), word.end(), IsDigit)) {
      shape += '#';
    } else {
      shape += word;
    }
    message.remove_prefix(word.size());
    if (message.empty()) break;
    shape += message.front();
    message.remove_prefix(1);
  }
  return shape;
}

void LogFolder::Emit(Fold* fold, Time now, std::vector<LogRecord>* out) {
  if (fold->newest.more == 0) return;
  fold->newest.window = std::chrono::round<std::chrono::seconds>(now - fold->since);
  out->push_back(std::exchange(fold->newest, LogRecord()));
}

void LogFolder::Add(LogRecord record, Time now, std::vector<LogRecord>* out) {
  Close(now, out);
  std::string key = KeyOf(record);
  auto found = folds_.find(key);
  if (found == folds_.end()) {
    if (folds_.size() == kShapesMax) CloseAll(now, out);
    found = folds_.emplace(std::move(key), Fold{.since = now, .whole = 0, .newest = {}}).first;
  }
  Fold& fold = found->second;
  if (fold.whole < kWholeMax) {
    ++fold.whole;
    out->push_back(std::move(record));
    return;
  }
  record.more = fold.newest.more + 1;
  fold.newest = std::move(record);
}

void LogFolder::Close(Time now, std::vector<LogRecord>* out) {
  for (auto entry = folds_.begin(); entry != folds_.end();) {
    Fold& fold = entry->second;
    const bool over = now - fold.since >= kWindow;
    if (over && fold.newest.more == 0) {
      entry = folds_.erase(entry);
      continue;
    }
    if (over) {
      Emit(&fold, now, out);
      fold.since = now;
    }
    ++entry;
  }
}

void LogFolder::CloseAll(Time now, std::vector<LogRecord>* out) {
  for (auto& [key, fold] : folds_) Emit(&fold, now, out);
  folds_.clear();
}

}  // namespace everstate
