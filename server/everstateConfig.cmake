# find_package(everstate): the target everstate::server, for programs that include <everstate/server.h>.
include(${CMAKE_CURRENT_LIST_DIR}/dependencies.cmake)
include(${CMAKE_CURRENT_LIST_DIR}/everstateTargets.cmake)
