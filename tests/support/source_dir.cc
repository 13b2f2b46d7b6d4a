#include "tests/support/source_dir.h"

namespace everstate {

std::string InSource(const std::string& path) { return EVERSTATE_SOURCE_DIR "/" + path; }

std::string InSharedData(const std::string& path) { return InSource("../shared/data/" + path); }

}  // namespace everstate
