// A JSON value with its place in the file, so that whatever is wrong with it can be said by name.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "server/stack/diagnostics.h"
#include "server/stack/names.h"
#include "server/stack/stack.h"

namespace everstate::stack {

// Keeps the last of several equal keys. Members are ascending by key: objects that keep the order of the file are
// searched from the front, and a file of one large object would take hours to read.
using Json = nlohmann::json;

inline constexpr size_t kNameBytesMax = 512;  // of names and paths, which are copied into whatever is named after them

// Node
//   Owns:    its place; the JSON value must outlive it.
//   Errors:  findings of its place; the answer is then an empty value, and reading goes on. What was read of a file
//            with findings may be looked at to find more of them, and is no good for anything else.
class Node {
 public:
  Node(const Json* value, Place place) : value_(value), place_(std::move(place)) {}

  bool IsText() const { return value_->is_string(); }
  bool IsObject() const { return value_->is_object(); }
  bool IsArray() const { return value_->is_array(); }
  bool IsNumber() const { return value_->is_number(); }
  bool Has(std::string_view key) const { return IsObject() && value_->contains(key); }
  const Place& place() const { return place_; }

  Node At(std::string_view key) const;                        // a member that must be there (it may be null)
  std::optional<Node> Maybe(std::string_view key) const;      // empty when missing or null
  std::vector<Node> Items() const;                            // elements of an array
  std::vector<Node> ItemsOf(std::string_view key) const;      // of an optional member; none when missing or null
  std::vector<std::pair<std::string, Node>> Members() const;  // of an object

  std::string Text() const;
  std::string NonEmptyText() const;  // a name or path, of at most kNameBytesMax bytes
  std::string TextOr(std::string_view key, std::string_view fallback) const;
  bool Flag() const;
  bool FlagOr(std::string_view key, bool fallback) const;
  uint64_t Natural(uint64_t max) const;  // an integer of 0..max
  int64_t Integer() const;
  std::vector<uint8_t> Bytes() const;  // an array of numbers 0..255
  Literal Constant() const;            // any JSON

  // An enum value as serde writes it: "Tag" alone, or {"Tag": content}. `content` of a lone tag is a null.
  struct Variant;
  Variant Tagged() const;

  template <typename T>
  T OneOf(std::span<const Word<T>> words) const {
    std::string text = Text();
    std::string all;
    for (const Word<T>& word : words) {
      if (word.text == text) return word.value;
      if (!all.empty()) all += ", ";
      all += word.text;
    }
    Fail(fmt::format("\"{}\" is not one of {}", text, all));
    return words.front().value;
  }
  std::string OneOfTexts(std::initializer_list<std::string_view> words) const;

  void Fail(std::string_view rule) const { (void)place_.Invalid(rule); }
  void FailAt(std::string_view key, std::string_view rule) const { (void)place_.At(key).Invalid(rule); }  // of a member

 private:
  const Json* value_;
  Place place_;
};

struct Node::Variant {
  std::string tag;
  Node content;
};

}  // namespace everstate::stack
