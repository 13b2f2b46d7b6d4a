// everstate: one program with subcommands.
#include "server/cli/cli.h"

int main(int argc, char** argv) { return everstate::cli::Main(argc, argv); }
