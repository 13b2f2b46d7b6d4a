// The first Quick Start of hyperstack-server. quick_start STACK [ADDR:PORT]; YELLOWSTONE_ENDPOINT names the provider,
// as there.
#include <everstate/server.h>

#include <cstdio>

using everstate::Server;
using everstate::Spec;

int main(int argc, char** argv) {
  if (argc < 2) return std::fputs("quick_start STACK [ADDR:PORT]\n", stderr), 2;
  const Spec my_spec = argv[1];
  return Server::builder()
      .spec(my_spec)
      .websocket()
      .bind(argc > 2 ? argv[2] : "[::]:8877")
      .health_monitoring()
      .start()
      .exit_code();
}
