// The second Quick Start, "With Configuration". quick_start_configured STACK [ADDR:PORT [MAX_CLIENTS
// [HEARTBEAT_SECONDS]]]
#include <everstate/server.h>

#include <chrono>
#include <cstdio>
#include <string>

using everstate::HealthConfig;
using everstate::Server;
using everstate::Spec;
using everstate::WebSocketConfig;

int main(int argc, char** argv) {
  if (argc < 2)
    return std::fputs("quick_start_configured STACK [ADDR:PORT [MAX_CLIENTS [HEARTBEAT_SECONDS]]]\n", stderr), 2;
  const Spec my_spec = argv[1];
  return Server::builder()
      .spec(my_spec)
      .websocket_config(WebSocketConfig{
          .bind_addr = argc > 2 ? argv[2] : "[::]:8877",
          .max_clients = argc > 3 ? std::stoul(argv[3]) : 1000,
          .message_queue_size = 100,
      })
      .health_config(HealthConfig()
                         .with_heartbeat_interval(std::chrono::seconds(argc > 4 ? std::stol(argv[4]) : 30))
                         .with_health_check_timeout(std::chrono::seconds(10)))
      .start()
      .exit_code();
}
