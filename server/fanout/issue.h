// Issues: what the server tells a client that went wrong, as a text message on the socket. Never fatal: the connection
// stays.
#pragma once

#include <optional>
#include <string>

namespace everstate {

struct Issue {
  std::string code;
  std::string message;  // one sentence for people
  bool retryable = false;
};

extern const Issue kSubscriptionLimit;

// {"type":"error","error":C,"message":S,"code":C,"retryable":B,"fatal":false[,"view":V][,"key":K]}. The clients of the
// reference know the keys up to "fatal"; they ignore the others.
std::string IssueText(const Issue& issue, const std::optional<std::string>& view,
                      const std::optional<std::string>& key);

}  // namespace everstate
