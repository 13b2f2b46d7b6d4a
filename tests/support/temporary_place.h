// Where temporary folders are made.
#pragma once

#include <stdlib.h>

#include <filesystem>
#include <optional>
#include <string>

namespace everstate {

// TemporaryPlace: as long as it lives, this process and those that it starts have their temporary folders in `place`.
class TemporaryPlace {
 public:
  explicit TemporaryPlace(const std::filesystem::path& place) {
    if (const char* before = getenv("TMPDIR")) before_ = before;
    setenv("TMPDIR", place.c_str(), 1);
  }
  TemporaryPlace(const TemporaryPlace&) = delete;
  TemporaryPlace& operator=(const TemporaryPlace&) = delete;
  ~TemporaryPlace() {
    if (before_) {
      setenv("TMPDIR", before_->c_str(), 1);
    } else {
      unsetenv("TMPDIR");
    }
  }

 private:
  std::optional<std::string> before_;
};

}  // namespace everstate
