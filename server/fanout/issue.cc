#include "server/fanout/issue.h"

#include "storage/row.h"

namespace everstate {

const Issue kSubscriptionLimit{"subscription-limit-exceeded", "This connection has all the subscriptions it may have.",
                               false};

std::string IssueText(const Issue& issue, const std::optional<std::string>& view,
                      const std::optional<std::string>& key) {
  std::string text = R"({"type":"error","error":)";
  AppendJsonString(issue.code, &text);
  text += ",\"message\":";
  AppendJsonString(issue.message, &text);
  text += ",\"code\":";
  AppendJsonString(issue.code, &text);
  text += issue.retryable ? ",\"retryable\":true" : ",\"retryable\":false";
  text += ",\"fatal\":false";
  if (view.has_value()) {
    text += ",\"view\":";
    AppendJsonString(*view, &text);
  }
  if (key.has_value()) {
    text += ",\"key\":";
    AppendJsonString(*key, &text);
  }
  text += '}';
  return text;
}

}  // namespace everstate
