#include "server/fanout/client_message.h"

#include <array>
#include <nlohmann/json.hpp>

namespace everstate {
namespace {

using nlohmann::json;

enum Field : int {
  kType,
  kView,
  kKey,
  kWithSnapshot,
  kToken,
  kTake,
  kSkip,
  kAfter,
  kSnapshotLimit,
  kFilters,
  kPartition,
  kFieldCount
};
constexpr std::array<std::string_view, kFieldCount> kFieldNames = {
    "type", "view", "key", "withSnapshot", "token", "take", "skip", "after", "snapshotLimit", "filters", "partition"};
constexpr int kDepthMax = 16;
constexpr size_t kNameBytesMax = 1024;  // of a view and of a key

enum class JsonShape { kAbsent, kBool, kCount, kOtherNumber, kText, kEmptyObject, kFullObject, kArray };

struct Found {
  JsonShape shape = JsonShape::kAbsent;  // null counts as absent
  bool flag = false;
  std::string text;
};

// Collects the known fields of the outermost object; builds no tree.
class Collector : public nlohmann::json_sax<json> {
 public:
  std::array<Found, kFieldCount> fields;
  bool is_object = false;
  bool too_deep = false;

  bool null() override { return Put({}); }
  bool boolean(bool value) override { return Put({JsonShape::kBool, value, {}}); }
  bool number_integer(number_integer_t value) override {  // written with a minus
    return Put({value < 0 ? JsonShape::kOtherNumber : JsonShape::kCount, false, {}});
  }
  bool number_unsigned(number_unsigned_t) override { return Put({JsonShape::kCount, false, {}}); }
  bool number_float(number_float_t, const string_t&) override { return Put({JsonShape::kOtherNumber, false, {}}); }
  bool string(string_t& value) override { return Put({JsonShape::kText, false, std::move(value)}); }
  bool binary(binary_t&) override { return false; }
  bool start_object(std::size_t) override {
    if (depth_ == 0) is_object = true;
    if (depth_ == 1) Put({JsonShape::kEmptyObject, false, {}});
    return Enter();
  }
  bool start_array(std::size_t) override {
    if (depth_ == 1) Put({JsonShape::kArray, false, {}});
    return Enter();
  }
  bool key(string_t& name) override {
    if (depth_ == 1) {
      current_ = kFieldCount;
      for (int i = 0; i < kFieldCount; ++i) {
        if (name == kFieldNames[static_cast<size_t>(i)]) current_ = i;
      }
    } else if (depth_ == 2 && current_ != kFieldCount &&
               fields[static_cast<size_t>(current_)].shape == JsonShape::kEmptyObject) {
      fields[static_cast<size_t>(current_)].shape = JsonShape::kFullObject;
    }
    return true;
  }
  bool end_object() override { return Leave(); }
  bool end_array() override { return Leave(); }
  bool parse_error(std::size_t, const std::string&, const nlohmann::detail::exception&) override { return false; }

 private:
  bool Put(Found found) {
    if (depth_ == 1 && is_object && current_ != kFieldCount) fields[static_cast<size_t>(current_)] = std::move(found);
    return true;
  }
  bool Enter() {
    too_deep = ++depth_ > kDepthMax;
    return !too_deep;
  }
  bool Leave() {
    --depth_;
    return true;
  }

  int depth_ = 0;
  int current_ = kFieldCount;
};

ClientMessage Invalid(std::string problem) {
  ClientMessage message;
  message.problem = std::move(problem);
  return message;
}

// Empty when the field may be of that shape, else the sentence that says what it must be.
std::string CheckShape(const Collector& found, Field field, JsonShape wanted, std::string_view wanted_name) {
  const JsonShape shape = found.fields[field].shape;
  if (shape == JsonShape::kAbsent || shape == wanted) return {};
  return "\"" + std::string(kFieldNames[field]) + "\" must be " + std::string(wanted_name) + ".";
}

// Wrong types are refused before unsupported options, so that the sentence fits what was sent.
std::string CheckSubscribe(const Collector& found) {
  for (Field field : {kKey, kAfter, kPartition}) {
    if (std::string problem = CheckShape(found, field, JsonShape::kText, "text"); !problem.empty()) return problem;
  }
  for (Field field : {kTake, kSkip, kSnapshotLimit}) {
    if (std::string problem = CheckShape(found, field, JsonShape::kCount, "an integer of at least 0"); !problem.empty())
      return problem;
  }
  if (std::string problem = CheckShape(found, kWithSnapshot, JsonShape::kBool, "true or false"); !problem.empty())
    return problem;
  if (found.fields[kFilters].shape != JsonShape::kEmptyObject)
    return CheckShape(found, kFilters, JsonShape::kFullObject, "an object");
  return {};
}

void ReadSubscribe(Collector& found, ClientMessage* message) {
  for (Field field : {kTake, kSkip, kAfter, kSnapshotLimit, kFilters, kPartition}) {
    const Found& option = found.fields[field];
    const bool harmless = option.shape == JsonShape::kAbsent || option.shape == JsonShape::kEmptyObject ||
                          (field == kPartition && option.text.empty());
    if (!harmless && message->unsupported.empty()) message->unsupported = kFieldNames[field];
  }
  if (found.fields[kWithSnapshot].shape == JsonShape::kBool) message->with_snapshot = found.fields[kWithSnapshot].flag;
}

}  // namespace

ClientMessage ParseClientMessage(std::string_view text) {
  Collector found;
  const bool parsed = json::sax_parse(text, &found);
  if (found.too_deep) return Invalid("The message is nested deeper than " + std::to_string(kDepthMax) + " levels.");
  if (!parsed) return Invalid("The message is not JSON.");
  if (!found.is_object) return Invalid("The message is not a JSON object.");

  const Found& type = found.fields[kType];
  ClientMessage message;
  if (type.shape == JsonShape::kAbsent || type.text == "subscribe") {
    message.kind = ClientMessage::Kind::kSubscribe;
  } else if (type.text == "unsubscribe") {
    message.kind = ClientMessage::Kind::kUnsubscribe;
  } else if (type.text == "ping") {
    message.kind = ClientMessage::Kind::kPing;
    return message;
  } else if (type.text == "refresh_auth") {
    message.kind = ClientMessage::Kind::kRefreshAuth;
    message.has_token = found.fields[kToken].shape == JsonShape::kText;
    return message;
  } else {
    return Invalid("\"type\" must be one of subscribe, unsubscribe, ping, refresh_auth.");
  }

  if (found.fields[kView].shape != JsonShape::kText) return Invalid("\"view\" must be text: the name of a view.");
  if (message.kind == ClientMessage::Kind::kSubscribe) {
    if (std::string problem = CheckSubscribe(found); !problem.empty()) return Invalid(std::move(problem));
    ReadSubscribe(found, &message);
  } else if (std::string problem = CheckShape(found, kKey, JsonShape::kText, "text"); !problem.empty()) {
    return Invalid(std::move(problem));
  }
  for (Field field : {kView, kKey}) {
    if (found.fields[field].text.size() <= kNameBytesMax) continue;
    return Invalid("\"" + std::string(kFieldNames[field]) + "\" is longer than " + std::to_string(kNameBytesMax) +
                   " bytes.");
  }
  message.view = std::move(found.fields[kView].text);
  if (found.fields[kKey].shape == JsonShape::kText) message.key = std::move(found.fields[kKey].text);
  return message;
}

}  // namespace everstate
