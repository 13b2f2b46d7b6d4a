#include "server/ingest/endpoint_hint.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace everstate::ingest {
namespace {

constexpr char kOtherServer[] = "; this may be no Yellowstone server: check --endpoint";

}  // namespace

std::string HintFor(const absl::Status& status, const YellowstoneOptions& options) {
  switch (status.code()) {
    case absl::StatusCode::kUnauthenticated:
    case absl::StatusCode::kPermissionDenied:
      return options.x_token.empty()
                 ? "; no token is set: --x-token-file names the file that holds it"
                 : "; the token of --x-token-file (or --x-token) is not the one that the provider wants";
    case absl::StatusCode::kUnimplemented:
      return kOtherServer;
    case absl::StatusCode::kInternal:
    case absl::StatusCode::kUnknown:  // gRPC's own words for an answer of HTTP
      return absl::StrContains(status.message(), "http2 header with status") ? kOtherServer : "";
    case absl::StatusCode::kResourceExhausted:  // gRPC's own word for a message above our limit
      if (!absl::StrContains(status.message(), "larger than max")) return "";
      return absl::StrCat("; stream.message_max is ", options.receive_bytes_max, " bytes");
    default:
      return "";
  }
}

std::string HintForNoConnection(const std::string& text, bool tls) {
  if (absl::StrContains(text, "Failed to connect to remote host") || absl::StrContains(text, "DNS resolution failed"))
    return "; nobody answers there: check host and port of --endpoint";
  // Our own words: the time ran out.
  const bool silent = absl::StrContains(text, "no connection to");
  const bool may_be_tls = !tls && !absl::StrContains(text, "http1.x server");
  return absl::StrCat(silent ? "; nobody may answer there, or this may be no Yellowstone server"
                             : "; this may be no Yellowstone server",
                      may_be_tls ? ", or one that speaks TLS (https://)" : "", ": check --endpoint");
}

}  // namespace everstate::ingest
