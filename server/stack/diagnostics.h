// What is wrong with a stack or an IDL, or asked for and not there: everything at once, each with its place and rule.
// This is how the rooms that read and compile stacks (stack, idl, vm) say errors.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"

namespace everstate::stack {

struct Finding {
  enum class Kind : uint8_t {
    kInvalid,      // it contradicts the format, itself or its IDL
    kUnsupported,  // it asks for what is not there
    kNote,         // no fault, but hardly meant: it is taken, and a part of it has no effect
  } kind = Kind::kInvalid;
  std::string path;  // "entities[0].handlers[2]"; empty: the file as a whole
  std::string rule;
};

// Diagnostics: the findings about one file.
//   Thread:    one.
//   Invariant: nothing at or below the path of a finding comes after it: what follows from a fault is not a second one.
//              Whoever meets a part with a finding leaves it out and goes on. Notes lie aside: they are no findings.
class Diagnostics {
 public:
  explicit Diagnostics(std::string file) : file_(std::move(file)) {}

  void Add(Finding finding);
  bool ok() const { return findings_.empty(); }
  const std::string& file() const { return file_; }
  const std::vector<Finding>& findings() const { return findings_; }  // in the order in which they were found
  const std::vector<Finding>& notes() const { return notes_; }        // the same
  std::string Text(const Finding& finding) const;  // "<file>: <path>: <rule>", in one line (base/printable.h)
  // One line for each finding; Unimplemented when nothing is invalid.
  absl::Status ToStatus() const;

  bool Covers(std::string_view path) const;   // a finding at the path or above it
  bool Touches(std::string_view path) const;  // at the path, above it or below it

 private:
  std::string file_;
  std::vector<Finding> findings_, notes_;
};

// Place: a part of the file, and where errors of it are made.
//   Owns: its path; the diagnostics must outlive it.
class Place {
 public:
  explicit Place(Diagnostics* diagnostics, std::string path = {}) : diagnostics_(diagnostics), path_(std::move(path)) {}

  Place At(std::string_view member) const;  // "a", "a.b" or "a[1].b"
  Place Element(size_t index) const;        // "a[1]"
  Place At(std::string_view list, size_t index) const { return At(list).Element(index); }
  const std::string& path() const { return path_; }

  // Both add a finding. What they answer only says that there is one: to be handed up, not to be read.
  absl::Status Invalid(std::string_view rule) const;
  absl::Status Unsupported(std::string_view what) const;
  void Note(std::string_view what) const;
  // The answer where a finding is the reason for leaving something out.
  static absl::Status Reported() { return absl::FailedPreconditionError("a finding was reported"); }

  bool Covered() const { return diagnostics_->Covers(path_); }
  bool Faulty() const { return diagnostics_->Touches(path_); }

 private:
  Diagnostics* diagnostics_;
  std::string path_;
};

}  // namespace everstate::stack
