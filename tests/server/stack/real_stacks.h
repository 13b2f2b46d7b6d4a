// The stacks that real programs run: one comes with the project, the others are there on a machine that has the data.
#pragma once

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "tests/support/source_dir.h"

namespace everstate::stack {

inline std::string SplStackFile() { return InSource("tests/stacks/SplStream.stack.json"); }

inline std::vector<std::string> RealStackFiles() {
  std::vector<std::string> files = {SplStackFile()};
  for (const char* name : {"OreStream", "PumpStream"}) {
    std::string file = InSharedData("stacks/") + name + ".stack.json";
    if (std::filesystem::exists(file)) files.push_back(file);
  }
  return files;
}

inline std::string ReadFile(const std::string& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

}  // namespace everstate::stack
