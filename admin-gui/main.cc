// everstate-console: the health of a server and the traffic on its bus, in a window; or once, for a script.
#include <fcntl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>

#include "admin-gui/once.h"
#include "admin-gui/window.h"

namespace {

using everstate::console::ClientOptions;
using everstate::console::OnceExit;

int Once(const ClientOptions& options, double over_seconds, bool json) {
  const auto probe =
      everstate::console::ProbeServer(options, std::chrono::milliseconds(static_cast<int64_t>(over_seconds * 1000)));
  if (!probe.ok()) {
    std::fprintf(stderr, "everstate-console: %s\n", std::string(probe.status().message()).c_str());
    return static_cast<int>(OnceExit::kUnreachable);
  }
  const std::string text = json ? OnceJson(options.address, *probe) : OnceText(options.address, *probe);
  std::fwrite(text.data(), 1, text.size(), stdout);
  return static_cast<int>(Healthy(*probe) ? OnceExit::kHealthy : OnceExit::kUnhealthy);
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"Shows the health of an Everstate server and the traffic on its bus, makes checkpoints and rewinds."};
  app.set_version_flag("--version", EVERSTATE_VERSION);
  everstate::console::WindowOptions options;
  bool once = false, json = false;
  double over_seconds = 1;
  std::string theme = "dark", script;
  app.add_option("--admin", options.client.address, "The server's admin address: ADDR:PORT, or unix:PATH")
      ->capture_default_str();
  auto* once_flag =
      app.add_flag("--once", once, "One look without a window; exits 0 healthy, 1 unhealthy, 2 unreachable");
  app.add_flag("--json", json, "With --once: JSON")->needs(once_flag);
  app.add_option("--over", over_seconds, "With --once: measure rates over this many seconds")
      ->needs(once_flag)
      ->check(CLI::Range(0.1, 60.0))
      ->capture_default_str();
  app.add_option("--theme", theme, "dark or light")->check(CLI::IsMember({"dark", "light"}))->capture_default_str();
  app.add_option("--scale", options.scale, "Size of everything; default: what the display says")
      ->check(CLI::Range(everstate::console::kScaleMin, everstate::console::kScaleMax));
  app.add_option("--fonts", options.fonts_dir, "Folder of DejaVuSans.ttf; default: the system's");
  app.add_option("--script", script, "Use the console by commands from this file, - is standard input");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : static_cast<int>(OnceExit::kUsage);
  }
  if (once) return Once(options.client, over_seconds, json);

  options.light = theme == "light";
  if (script == "-") {
    options.script_fd = STDIN_FILENO;
  } else if (!script.empty() && (options.script_fd = open(script.c_str(), O_RDONLY | O_CLOEXEC)) < 0) {
    std::fprintf(stderr, "everstate-console: cannot read the script %s: %s\n", script.c_str(), std::strerror(errno));
    return static_cast<int>(OnceExit::kUsage);
  }
  return everstate::console::RunWindow(options);
}
