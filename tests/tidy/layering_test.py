#!/usr/bin/env python3
"""The layering check finds turned arrows, and the tree has none."""
import pathlib
import unittest

import layering

HERE = pathlib.Path(__file__).resolve().parent


class LayeringTest(unittest.TestCase):
    def test_finds_every_turned_arrow_of_the_fixture(self):
        found = layering.violations(HERE / "turned_arrow")
        self.assertEqual([line.split(": ")[0] for line in found],
                         [f"server/vm/machine.cc:{n}" for n in (2, 3, 4, 6, 7)] + ["storage/row.cc:3"])

    def test_an_inner_header_is_no_door(self):
        self.assertIn("no door", layering.judge("projector", '"', "storage/keys.h"))
        self.assertIsNone(layering.judge("projector", '"', "storage/entity_store.h"))

    def test_the_console_sees_the_admin_interface_only(self):
        for included in ("server/health/health.h", "storage/row.h", "server/base/log.h", "proto/geyser.pb.h", "proto/admin.grpc.pb.h"):
            self.assertIsNotNone(layering.judge("console", '"', included), included)
        self.assertIsNone(layering.judge("console", '"', "proto/admin.pb.h"))
        self.assertIsNone(layering.judge("console_client", '"', "proto/admin.grpc.pb.h"))
        self.assertIsNotNone(layering.judge("console", "<", "grpcpp/grpcpp.h"))
        self.assertIsNone(layering.judge("console", '"', "admin-gui/client/console_client.h"))
        self.assertIsNotNone(layering.judge("console", '"', "admin-gui/client/connection.h"))
        self.assertIsNotNone(layering.judge("console_client", "<", "imgui.h"))
        self.assertIsNotNone(layering.judge("health", "<", "imgui.h"))

    def test_the_tree_has_none(self):
        self.assertEqual(layering.violations(HERE.parent.parent), [])


if __name__ == "__main__":
    unittest.main()
