// AdminServer: what a console or a script may see and do, over gRPC (proto/admin.proto). It reads copies and posts
// commands; the path of an update never waits for it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "server/deployment/deployment.h"
#include "server/fanout/fanout.h"
#include "server/health/health.h"

namespace everstate {

class AdminBackend;

struct AdminOptions {
  std::string listen = "127.0.0.1:8880";  // ADDR:PORT, IPv6 in brackets; port 0 takes a free one
  int threads_max = 64;  // gRPC's: one for each call under way, a few to wait for calls; beyond it a call is refused
};

// What it shows and commands. All must outlive Stop.
struct AdminSubjects {
  Deployment* deployment = nullptr;
  Fanout* fanout = nullptr;
  const Health* health = nullptr;
};

// AdminServer
//   Thread:    Start and Stop from the owner's.
//   Owns:      its port, its threads, the taps of its streams.
//   Errors:    Start: AlreadyExists naming an address in use, InvalidArgument when it is no address, Unavailable when
//              it cannot listen there for another reason. An address that is not this machine's own is allowed, and a
//              warning says that nothing asks who calls.
//   Invariant: a client that does not read costs a thread and one message, never more memory.
class AdminServer {
 public:
  // What Start would refuse of this address now, for those who have much to do before they can start it.
  static absl::Status CheckAddress(const std::string& listen);

  static absl::StatusOr<std::unique_ptr<AdminServer>> Start(const AdminOptions& options, const AdminSubjects& subjects);
  static absl::StatusOr<std::unique_ptr<AdminServer>> Start(const AdminOptions& options,
                                                            std::unique_ptr<AdminBackend> backend);
  ~AdminServer();  // stops

  std::string address() const;  // "ADDR:PORT" with the port in force

  // Ends every stream and joins the threads: at once, or when a checkpoint that is being made or verified for a client
  // is done.
  void Stop();

 private:
  struct Impl;
  explicit AdminServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace everstate
