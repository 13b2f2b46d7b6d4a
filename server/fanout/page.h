// The page's files (web/), compiled into the program.
#pragma once

#include <span>
#include <string_view>

namespace everstate {

struct PageFile {
  std::string_view name;  // "index.html"
  std::string_view etag;  // quoted
  std::string_view bytes;
};

std::span<const PageFile> PageFiles();  // generated: page_files.cc

// By a request's path: "/" is index.html. Null when there is none.
const PageFile* FindPageFile(std::string_view path);

// By the end of the name; "application/octet-stream" when it is unknown.
std::string_view ContentTypeOf(std::string_view name);

}  // namespace everstate
