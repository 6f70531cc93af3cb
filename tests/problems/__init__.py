"""Problems with known answers: NIST StRD, and Moré, Garbow and Hillstrom's collection."""
