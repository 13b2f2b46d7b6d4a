# What the rooms stand on. The build includes this file, and so does the installed package: one list for both.
find_package(Threads REQUIRED)
find_package(absl REQUIRED)
find_package(fmt REQUIRED)
find_package(spdlog REQUIRED)
find_package(nlohmann_json 3.11 REQUIRED)
find_package(tomlplusplus REQUIRED)
find_package(Protobuf REQUIRED)
find_package(gRPC CONFIG REQUIRED)
find_package(RocksDB REQUIRED)
find_package(Boost 1.81 REQUIRED)
find_package(OpenSSL 3 REQUIRED)
find_package(ZLIB REQUIRED)
find_package(PkgConfig REQUIRED)
# Not "zstd": RocksDB's own Findzstd keeps its variables under that name.
pkg_check_modules(LIBZSTD REQUIRED IMPORTED_TARGET libzstd)
# The core alone: its CMake package asks for the servers and clients of the others as well.
pkg_check_modules(PROMETHEUS REQUIRED IMPORTED_TARGET prometheus-cpp-core)
