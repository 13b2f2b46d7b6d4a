#include "server/stack/node.h"

#include <algorithm>

namespace everstate::stack {
namespace {

const Json kNull;

}  // namespace

Node Node::At(std::string_view key) const {
  if (!IsObject()) {
    Fail(fmt::format("must be an object with \"{}\"", key));
    return Node(&kNull, place_.At(key));
  }
  auto found = value_->find(key);
  Node node(found == value_->end() ? &kNull : &*found, place_.At(key));
  if (found == value_->end()) node.Fail("is required and missing");
  return node;
}

std::optional<Node> Node::Maybe(std::string_view key) const {
  if (!IsObject()) {
    Fail("must be an object");
    return std::nullopt;
  }
  auto found = value_->find(key);
  if (found == value_->end() || found->is_null()) return std::nullopt;
  return Node(&*found, place_.At(key));
}

std::vector<Node> Node::Items() const {
  std::vector<Node> items;
  if (!IsArray()) {
    Fail("must be an array");
    return items;
  }
  items.reserve(value_->size());
  for (size_t i = 0; i < value_->size(); ++i) items.emplace_back(&(*value_)[i], place_.Element(i));
  return items;
}

std::vector<Node> Node::ItemsOf(std::string_view key) const {
  std::optional<Node> node = Maybe(key);
  return node ? node->Items() : std::vector<Node>();
}

std::vector<std::pair<std::string, Node>> Node::Members() const {
  std::vector<std::pair<std::string, Node>> members;
  if (!IsObject()) {
    Fail("must be an object");
    return members;
  }
  for (const auto& [key, value] : value_->items()) {
    members.emplace_back(key, Node(&value, place_.At(key)));
  }
  return members;
}

std::string Node::Text() const {
  if (IsText()) return value_->get<std::string>();
  Fail("must be a string");
  return {};
}

std::string Node::NonEmptyText() const {
  std::string text = Text();
  if (text.empty()) Fail("must not be empty");
  if (text.size() > kNameBytesMax) {
    Fail(fmt::format("has {} bytes, a name at most {}", text.size(), kNameBytesMax));
    text.clear();
  }
  return text;
}

std::string Node::TextOr(std::string_view key, std::string_view fallback) const {
  std::optional<Node> node = Maybe(key);
  return node ? node->Text() : std::string(fallback);
}

bool Node::Flag() const {
  if (value_->is_boolean()) return value_->get<bool>();
  Fail("must be true or false");
  return false;
}

bool Node::FlagOr(std::string_view key, bool fallback) const {
  std::optional<Node> node = Maybe(key);
  return node ? node->Flag() : fallback;
}

uint64_t Node::Natural(uint64_t max) const {
  if (value_->is_number_unsigned() && value_->get<uint64_t>() <= max) return value_->get<uint64_t>();
  Fail(fmt::format("must be an integer of 0 to {}", max));
  return 0;
}

int64_t Node::Integer() const {
  if (value_->is_number_unsigned()) {
    if (value_->get<uint64_t>() <= static_cast<uint64_t>(INT64_MAX))
      return static_cast<int64_t>(value_->get<uint64_t>());
  } else if (value_->is_number_integer()) {
    return value_->get<int64_t>();
  }
  Fail("must be an integer of 64 bits with sign");
  return 0;
}

std::vector<uint8_t> Node::Bytes() const {
  std::vector<uint8_t> bytes;
  for (const Node& item : Items()) bytes.push_back(static_cast<uint8_t>(item.Natural(255)));
  return bytes;
}

Literal Node::Constant() const {
  Literal literal;
  switch (value_->type()) {
    case Json::value_t::boolean:
      literal.value = value_->get<bool>();
      break;
    case Json::value_t::number_unsigned:
      literal.value = value_->get<uint64_t>();
      break;
    case Json::value_t::number_integer: {
      int64_t number = value_->get<int64_t>();  // "-0" comes this way too
      if (number < 0)
        literal.value = number;
      else
        literal.value = static_cast<uint64_t>(number);
      break;
    }
    case Json::value_t::number_float:
      literal.value = value_->get<double>();
      break;
    case Json::value_t::string:
      literal.value = value_->get<std::string>();
      break;
    case Json::value_t::array: {
      Literal::Array array;
      for (const Node& item : Items()) array.push_back(item.Constant());
      literal.value = std::move(array);
      break;
    }
    case Json::value_t::object: {
      Literal::Object object;
      for (const auto& [key, item] : Members()) object.push_back({key, item.Constant()});
      std::sort(object.begin(), object.end(), [](const auto& a, const auto& b) { return a.key < b.key; });
      literal.value = std::move(object);
      break;
    }
    default:
      break;  // null
  }
  return literal;
}

Node::Variant Node::Tagged() const {
  if (IsText()) return {Text(), Node(&kNull, place_)};
  if (IsObject() && value_->size() == 1) {
    auto members = Members();
    return {members[0].first, members[0].second};
  }
  Fail("must be a name, or an object with one member that is its name");
  return {"", Node(&kNull, place_)};
}

std::string Node::OneOfTexts(std::initializer_list<std::string_view> words) const {
  std::string text = Text();
  if (std::find(words.begin(), words.end(), text) != words.end()) return text;
  Fail(fmt::format("\"{}\" is not one of {}", text, fmt::join(words, ", ")));
  return {};
}

}  // namespace everstate::stack
