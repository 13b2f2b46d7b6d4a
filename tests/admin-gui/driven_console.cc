#include "tests/admin-gui/driven_console.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <stdexcept>

namespace everstate::console {
namespace {

struct Child {
  pid_t pid = -1;
  FILE *in = nullptr, *out = nullptr;
};

// fork and exec; standard input and output are pipes.
Child Spawn(const std::vector<std::string>& arguments,
            const std::vector<std::pair<std::string, std::string>>& environment, bool quiet) {
  int to_child[2], from_child[2];
  if (pipe2(to_child, O_CLOEXEC) != 0 || pipe2(from_child, O_CLOEXEC) != 0) throw std::runtime_error("no pipe");
  std::vector<char*> argv;
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  std::vector<std::string> variables;
  for (char** variable = environ; *variable; ++variable) {
    const std::string text = *variable;
    bool replaced = false;
    for (const auto& [name, value] : environment) replaced |= text.rfind(name + "=", 0) == 0;
    if (!replaced) variables.push_back(text);
  }
  for (const auto& [name, value] : environment) variables.push_back(name + "=" + value);
  std::vector<char*> envp;
  for (const std::string& variable : variables) envp.push_back(const_cast<char*>(variable.c_str()));
  envp.push_back(nullptr);
  const pid_t pid = fork();
  if (pid == 0) {
    dup2(to_child[0], STDIN_FILENO);
    dup2(from_child[1], STDOUT_FILENO);
    if (quiet) dup2(open("/dev/null", O_WRONLY), STDERR_FILENO);
    execvpe(argv[0], argv.data(), envp.data());
    _exit(127);
  }
  close(to_child[0]);
  close(from_child[1]);
  return {pid, fdopen(to_child[1], "w"), fdopen(from_child[0], "r")};
}

std::string ReadLine(FILE* file) {
  std::string line;
  for (int c = std::fgetc(file); c != EOF && c != '\n'; c = std::fgetc(file)) line.push_back(static_cast<char>(c));
  return line;
}

}  // namespace

Display::~Display() {
  if (pid_ <= 0) return;
  kill(pid_, SIGTERM);
  waitpid(pid_, nullptr, 0);
}

bool Display::Start() {
  // Xvfb takes a free display and writes its number to this descriptor, its standard output.
  const Child child = Spawn({"Xvfb", "-displayfd", "1", "-screen", "0", "1700x1100x24", "-nolisten", "tcp"}, {}, true);
  pid_ = child.pid;
  const std::string number = ReadLine(child.out);
  std::fclose(child.in);
  if (number.empty()) {
    std::fclose(child.out);
    waitpid(pid_, nullptr, 0);
    pid_ = -1;
    return false;
  }
  name_ = ":" + number;
  return true;
}

DrivenConsole::DrivenConsole(const std::string& program, const Display& display, std::vector<std::string> arguments) {
  char folder[] = "/tmp/everstate-console-XXXXXX";
  if (!mkdtemp(folder)) throw std::runtime_error("no temporary folder");
  folder_ = folder;
  std::vector<std::string> all{program};
  all.insert(all.end(), arguments.begin(), arguments.end());
  all.insert(all.end(), {"--script", "-"});
  const Child child = Spawn(all, {{"DISPLAY", display.name()}, {"LIBGL_ALWAYS_SOFTWARE", "1"}, {"TZ", "UTC"}}, false);
  pid_ = child.pid;
  in_ = child.in;
  out_ = child.out;
}

DrivenConsole::~DrivenConsole() {
  if (pid_ > 0) {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  if (in_) std::fclose(in_);
  std::fclose(out_);
  unlink((folder_ + "/dump").c_str());
  rmdir(folder_.c_str());
}

std::string DrivenConsole::Do(const std::string& command) {
  std::fprintf(in_, "%s\n", command.c_str());
  std::fflush(in_);
  const std::string answer = ReadLine(out_);
  if (answer == "ok " + command) return "";
  return answer.empty() ? "the console ended at: " + command : answer;
}

nlohmann::json DrivenConsole::Dump() {
  const std::string why = Do("dump " + folder_ + "/dump");
  if (!why.empty()) throw std::runtime_error(why);
  std::ifstream file(folder_ + "/dump");
  return nlohmann::json::parse(file);
}

nlohmann::json DrivenConsole::Find(const std::string& name) {
  const auto dump = Dump();
  for (const auto& widget : dump["widgets"]) {
    if (widget["name"] == name && widget["kind"] != "tooltip") return widget;
  }
  return nullptr;
}

std::string DrivenConsole::TextOf(const std::string& name) {
  const auto widget = Find(name);
  return widget.is_null() ? "(none)" : widget["text"].get<std::string>();
}

int DrivenConsole::Quit() {
  std::fclose(in_);
  in_ = nullptr;
  int status = 0;
  waitpid(pid_, &status, 0);
  pid_ = -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

}  // namespace everstate::console
