"""Problems with known answers: NIST StRD, Moré, Garbow and Hillstrom's collection, a decay."""
