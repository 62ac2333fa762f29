/* Only links libre2; its C++ interface is wrapped by the CRE2 target. */
