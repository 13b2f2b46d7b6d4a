// What a client says, read from one text message. Limited in size by the session and in depth here.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace everstate {

struct ClientMessage {
  enum class Kind { kInvalid, kSubscribe, kUnsubscribe, kPing, kRefreshAuth };
  Kind kind = Kind::kInvalid;
  std::string problem;  // kInvalid: one sentence for the client

  // kSubscribe, kUnsubscribe. A null option is as good as an absent one.
  std::string view;
  std::optional<std::string> key;
  bool with_snapshot = true;
  std::string unsupported;  // the first option asked for that this server does not have; empty: none

  bool has_token = false;  // kRefreshAuth
};

// The reference's rules, but for one: a message with a "type" that is none of ours is invalid, also with a "view".
// {"view":…} without "type" is a subscribe. Objects and arrays deeper than 16 are refused, and so is a view or a key of
// more than 1,024 bytes: a session keeps as many as it may have subscriptions.
ClientMessage ParseClientMessage(std::string_view text);

}  // namespace everstate
