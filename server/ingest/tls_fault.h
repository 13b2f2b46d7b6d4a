// Why TLS with a server fails, in words: gRPC says no more than that the handshake failed.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"

namespace everstate::ingest {

// The file of roots that gRPC trusts instead of the system's, read from the environment (gRPC's
// "environment_variables.md").
inline constexpr char kRootsVariable[] = "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH";

// InvalidArgument when the variable names a file without certificates: no server could be trusted then.
absl::Status CheckTlsRoots();

// Connects once, looks at the certificate with the roots that gRPC uses, and closes; nothing is sent and nothing is
// decided here: gRPC has refused the server already. Empty when there is nothing to say: the server is not reached, or
// its certificate is good.
//   Thread: any. Waits at most `timeout_ms` for each answer of the server.
std::string TlsFault(const std::string& host, const std::string& port, uint32_t timeout_ms);

}  // namespace everstate::ingest
