"""Where objects stand: outlines, relations, access for the gripper, settling."""
