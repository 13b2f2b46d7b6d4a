// Where the files of the tests are. The path is compiled into one small unit only, so that a compiler cache knows the
// test programs of another checkout again.
#pragma once

#include <string>

namespace everstate {

// A file of this project: InSource("tests/recordings/spl-small.updates").
std::string InSource(const std::string& path);

// A file of the data beside the checkout, which may be absent: InSharedData("recordings/spl.updates").
std::string InSharedData(const std::string& path);

}  // namespace everstate
